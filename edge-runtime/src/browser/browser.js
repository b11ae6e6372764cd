// What a page needs of its browser: `fetch`, chance, and IndexedDB as three stores.
// histories: user -> bytes; sequences: channel -> number, "installation" -> text; spool: 1, 2, 3, ... -> bytes.

/** The bytes at a URL; `undefined` where there are none, and their number where they are more than `limit`. */
export async function fetchBytes(url, limit) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const announced = Number(response.headers.get("content-length"));
  if (announced > limit) return announced;
  const bytes = new Uint8Array(await response.arrayBuffer());
  return bytes.length > limit ? bytes.length : bytes;
}

/** 128 bits of chance as hexadecimal digits. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Opens the database, and makes its stores where it is new. */
export function openDatabase(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("histories");
      request.result.createObjectStore("sequences");
      request.result.createObjectStore("spool", { autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** What a store has under a key. */
export function read(database, store, key) {
  return new Promise((resolve, reject) => {
    const request = database.transaction(store).objectStore(store).get(key);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * Puts what `change` makes of the value under a key in its place, and adds `logged` to the spool, both or neither.
 * `change` runs inside the transaction, so that two tabs lose nothing; `undefined` leaves the value as it is.
 */
export function update(database, store, key, change, logged) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction([store, "spool"], "readwrite", { durability: "strict" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the database gave up"));
    const request = transaction.objectStore(store).get(key);
    request.onsuccess = () => {
      const changed = change(request.result);
      if (changed !== undefined) transaction.objectStore(store).put(changed, key);
      if (logged !== undefined) transaction.objectStore("spool").add(logged);
    };
  });
}

/** Adds an entry to the spool. */
export function append(database, logged) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction("spool", "readwrite", { durability: "strict" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the database gave up"));
    transaction.objectStore("spool").add(logged);
  });
}
