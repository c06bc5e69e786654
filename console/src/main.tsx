import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { startI18n } from './i18n/i18n.ts'
import './theme/base.css'
import { giveStylesNonce, pageNonce } from './theme/style-nonce.ts'

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
giveStylesNonce(pageNonce())
await startI18n()
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
