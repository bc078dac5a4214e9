/**
 * Ends in the middle of a template, so that what follows it would be text.
 * Expect: not passed
 */
export const answer = () => 5;
const rest = `
