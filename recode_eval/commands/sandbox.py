"""`recode-eval sandbox`: build what programs run in, and remove it again."""
