import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Temporal's native module and child processes want processes of their own.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    // A whole product with its world around it starts in there.
    hookTimeout: 600_000,
    // What is awaited comes at once, or a busy machine needs a while.
    expect: { poll: { timeout: 60_000, interval: 50 } },
  },
})
