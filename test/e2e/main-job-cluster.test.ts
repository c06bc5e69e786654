import { startCluster } from '../support/cluster.ts'
import { describeMainJob } from './main-job-steps.ts'

describeMainJob(
  'two api, two worker and two gateway processes on one MariaDB, a Dify on MariaDB',
  () => startCluster(),
  'mysql',
)
