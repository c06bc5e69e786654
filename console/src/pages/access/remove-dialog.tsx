import { Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Binding } from './queries.ts'
import { StartRunsDialog } from './start-runs-dialog.tsx'
import { nameOf } from './tokens.ts'

const MOST_NAMES = 8

/** Takes objects of ours away from their platforms, by runs that are then shown. Only what Toolferry made or adopted goes. */
export function RemoveDialog({ bindings, onClose }: { bindings: Binding[]; onClose: () => void }) {
  const { t } = useTranslation('access')
  const [acceptWarnings, setAcceptWarnings] = useState(false)
  return (
    <StartRunsDialog
      title={(count) => t('remove.title', { count })}
      okText={t('remove.do')}
      danger
      bindings={bindings}
      how={{ action: 'remove', name: t('remove.runName'), acceptWarnings }}
      onClose={onClose}
    >
      {(left) => (
        <>
          <Names names={left.map(nameOf)} />
          <p>{t('remove.meaning')}</p>
          <Checkbox checked={acceptWarnings} onChange={({ target }) => setAcceptWarnings(target.checked)}>
            {t('common:deletion.acceptWarnings')}
          </Checkbox>
        </>
      )}
    </StartRunsDialog>
  )
}

function Names({ names }: { names: string[] }) {
  const { t } = useTranslation('access')
  return (
    <ul className="tokens-list">
      {names.slice(0, MOST_NAMES).map((name) => (
        <li key={name}>{name}</li>
      ))}
      {names.length > MOST_NAMES ? <li>{t('remove.more', { count: names.length - MOST_NAMES })}</li> : null}
    </ul>
  )
}
