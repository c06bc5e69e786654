import { startProduct } from '../support/product.ts'
import { describeMainJob } from './main-job-steps.ts'

describeMainJob('everything in one process, as `npm start` runs it', () => startProduct())
