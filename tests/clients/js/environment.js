// Where the server under test listens.
export const url = process.env.TRUNKLINE_RPC_URL ?? "http://127.0.0.1:8899";
export const wsUrl = process.env.TRUNKLINE_WS_URL ?? "ws://127.0.0.1:8900";

/** The first value that `subscribe(resolve)` passes on, or an error after `ms` milliseconds. */
export function first(subscribe, ms = 30_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("nothing came")), ms);
    subscribe((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
