import { Link } from 'react-router'

/** The mark and the name; the name is the same in every language. */
export function Brand() {
  return (
    <Link to="/" className="brand">
      <img src="/favicon.svg" alt="" width={22} height={22} />
      <span translate="no">{BRAND}</span>
    </Link>
  )
}

export const BRAND = 'Toolferry'
