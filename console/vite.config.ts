import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** `npm run console:dev` talks to the product on TOOLFERRY_ORIGIN (default: where npm start listens). */
const product = {
  target: process.env.TOOLFERRY_ORIGIN ?? 'http://127.0.0.1:8080',
  // The API compares the page's origin with the host it was called by.
  changeOrigin: false,
}

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  server: { host: '127.0.0.1', proxy: { '/api/': product, '/docs': product, '/openapi.json': product } },
  build: {
    target: 'es2023',
    // Everything is a file of its own: the console's policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
})
