"""DemoFiles to show on a CPU that training works: made-up libraries, and a tiny model to train."""
