import { startCluster } from './cluster.ts'
import { type Product, startProduct } from './product.ts'

type Start = (env?: Record<string, string>) => Promise<Product>

/** The shapes that the product is run in, for `describe.each`: the same story holds in each. */
export const SHAPES: [[string, Start], [string, Start]] = [
  ['everything in one process on SQLite', startProduct],
  ['two api, two worker and two gateway processes on one MariaDB', (env = {}) => startCluster({ env })],
]
