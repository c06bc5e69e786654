import { mkdir, writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'

export type Profiling = {
  /** Ends it; the profile goes into `folder`, named by the run. */
  save(folder: string, run: string): Promise<void>
}

/** Starts the CPU profiler of this process, which makes everything slower. */
export async function startProfile(): Promise<Profiling> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 500 })
  await session.post('Profiler.start')
  return {
    save: async (folder, run) => {
      const { profile } = await session.post('Profiler.stop')
      session.disconnect()
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, `${run.replaceAll(' ', '-')}.cpuprofile`), JSON.stringify(profile))
    },
  }
}

/** Runs `work` under the profiler; the profile is named by the run that it answers. */
export async function profiled<T extends { run: string }>(folder: string, work: () => Promise<T>): Promise<T> {
  const profiling = await startProfile()
  const result = await work()
  await profiling.save(folder, result.run)
  return result
}
