/** Prisma's client with something of ours in place of its own, or beside it. `check` is asked before anything of it is used. */
export function withOwn<T extends object, Own extends object>(
  models: T,
  own: Own,
  check: () => void = () => undefined,
): Omit<T, keyof Own> & Own {
  return new Proxy(models, {
    get(target, name) {
      check()
      return Reflect.get(Object.hasOwn(own, name) ? own : target, name)
    },
  }) as unknown as Omit<T, keyof Own> & Own
}
