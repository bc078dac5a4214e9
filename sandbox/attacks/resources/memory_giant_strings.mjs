/**
 * Makes the longest strings there are, and joins them, flat and as ropes.
 * Expect: not passed
 */
const kept = [];

export function answer(question) {
  const longest = 2 ** 29 - 24;
  if (question === 1) return "x".repeat(longest).split("").length;
  for (let i = 0; i < 100; i += 1) {
    const text = String.fromCharCode(256 + i).repeat(longest);
    kept.push(question === 2 ? text.replace(/./, "y") : `${text}`.normalize("NFD"));
  }
  return kept.length;
}
