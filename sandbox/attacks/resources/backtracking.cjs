/**
 * Matches a regular expression that takes longer than the universe.
 * Expect: not passed
 */
function answer(question) {
  const text = `${"a".repeat(60)}!`;
  if (question === 1) return /^(a+)+$/.exec(text);
  if (question === 2) return text.replace(/(a|aa|a*)*b/g, "");
  return text.split(/(?:a?){60}a{60}b/);
}
