/**
 * Keeps the process alive with timers, while the test awaits something that never comes.
 * Expect: not passed
 */
for (let i = 0; i < 1000; i += 1) setInterval(() => {}, 1);

export async function answer() {
  await new Promise(() => {});
}
