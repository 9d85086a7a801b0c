/**
 * The names that cells share: declared variables live as deletable properties of `globalThis`, so that they can be
 * declared again by any kind of declaration, seen from both languages, and forgotten by `clear`.
 */

/** @returns {() => void} brings `globalThis` back to what it is now */
export function baseline() {
  const before = new Map(Reflect.ownKeys(globalThis).map((key) => [key, Object.getOwnPropertyDescriptor(globalThis, key)]));
  return () => {
    for (const key of Reflect.ownKeys(globalThis)) {
      const now = Object.getOwnPropertyDescriptor(globalThis, key);
      const then = before.get(key);
      if (then && now.value === then.value && now.get === then.get && now.set === then.set) continue;
      if (then) Reflect.defineProperty(globalThis, key, then);
      else if (!Reflect.deleteProperty(globalThis, key)) Reflect.set(globalThis, key, undefined);
    }
    for (const [key, then] of before) if (!Object.hasOwn(globalThis, key)) Reflect.defineProperty(globalThis, key, then);
  };
}

/**
 * Makes a plain, deletable variable of each name before the script that declares it runs. Without this, `var` makes a
 * property that `clear` could not delete, and `const navigator = …` would be an assignment to a getter: ignored.
 * @param {Iterable<string>} names
 */
export function declare(names) {
  for (const name of names) {
    const now = Object.getOwnPropertyDescriptor(globalThis, name);
    if (now && ('value' in now ? now.writable : !now.configurable)) continue;
    const value = now ? globalThis[name] : undefined;
    Reflect.defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

/** Adds a name that is not the guest's: not listed, but it may be declared over. */
export function provide(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}
