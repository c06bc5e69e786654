import { Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { RotateDialog, type RotateScope } from './rotate-dialog.tsx'

/** Replaces every token in some place: a platform, an MCP server, a space, or everywhere. */
export function RotateButton({ scope }: { scope: Exclude<RotateScope, { bindings: unknown }> }) {
  const { t } = useTranslation('tokens')
  const [isOpen, setOpen] = useState(false)
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('rotate.buttonMany')}</Button>
      {isOpen ? <RotateDialog scope={scope} onClose={() => setOpen(false)} /> : null}
    </>
  )
}
