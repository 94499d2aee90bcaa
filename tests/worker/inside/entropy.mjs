// Cloudflare gives no randomness to what runs while a Worker is deployed: its memory is kept as it is then, and everyone
// who starts from it would draw the same numbers.
const draw = crypto.getRandomValues.bind(crypto);
let allowed = Infinity;

crypto.getRandomValues = (array) => {
  if (allowed <= 0) throw new Error("Disallowed operation called within global scope: randomness, while the main module is imported");
  allowed -= 1;
  return draw(array);
};

// How often it may be drawn from now on.
export function allowEntropy(calls) {
  allowed = calls;
}
