/** The CLI that our cache, the download and tools/temporal/go.mod hold; a test proves that they agree. */
export const TEMPORAL_VERSION = '1.5.1'
