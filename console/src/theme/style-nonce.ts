/**
 * The page's policy takes no style element without its nonce. Ant Design's own carry it (ConfigProvider's csp); a few helpers
 * below it (scroll locks, scroll bar measuring) forget it, so every style element gets it as it is made.
 */
export function giveStylesNonce(nonce: string): void {
  const create = document.createElement.bind(document)
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const element = create(name, options)
    if (element instanceof HTMLStyleElement) element.nonce = nonce
    return element
  }) as typeof document.createElement
}

/** As the server wrote it into index.html. */
export function pageNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? ''
}
