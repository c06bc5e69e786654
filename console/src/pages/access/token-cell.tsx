import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { useRole } from '../../api/session.ts'
import { StateTag } from '../../components/state-tag.tsx'
import type { Binding } from './queries.ts'
import type { Reveal } from './reveal.tsx'
import { nameOf } from './tokens.ts'

type Props = { binding: Binding; reveal: Reveal; onOpen: () => void }

/** The visible start of the gateway token, and how the former ones stand; both lead to all of them. An admin can have the whole shown. */
export function TokenCell({ binding, reveal, onOpen }: Props) {
  const { t } = useTranslation('access')
  const mayReveal = useRole('admin')
  const { token, formerTokens } = binding
  // The one that needs a look first.
  const former = formerTokens.find(({ stillUsed }) => stillUsed) ?? formerTokens[0]
  if (token === null) return <span className="muted">{t('noToken')}</span>
  return (
    <>
      <div className="row" style={{ flexWrap: 'nowrap' }}>
        <Button
          size="small"
          type="link"
          className="token-start"
          aria-label={t('tokensOf', { name: nameOf(binding), start: `${token.start}…` })}
          onClick={onOpen}
        >
          <code>{token.start}…</code>
        </Button>
        {mayReveal ? (
          <Button
            size="small"
            type="text"
            loading={reveal.askedId === binding.id}
            aria-label={t('revealOf', { name: nameOf(binding) })}
            onClick={() => reveal.ask(binding)}
          >
            {t('reveal')}
          </Button>
        ) : null}
      </div>
      {former === undefined ? null : (
        <div className="row">
          <StateTag state={former.stage} />
          <span className="muted">{t('former', { count: formerTokens.length })}</span>
        </div>
      )}
    </>
  )
}
