import { useMutation } from '@tanstack/react-query'
import { Modal } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { Copyable } from '../../components/copyable.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import type { Binding } from './queries.ts'
import { nameOf } from './tokens.ts'

export type Reveal = {
  ask: (binding: Binding) => void
  /** The authorization whose token is being asked for. */
  askedId: string | null
  /** Where it is shown. */
  window: ReactNode
}

/** The whole token of an authorization, kept by nothing but the open window. The audit notes that it was shown. */
export function useReveal(): Reveal {
  const { t } = useTranslation('access')
  const tell = useProblemToast()
  const reveal = useMutation({
    mutationFn: ({ id }: Binding) => call(api.POST('/api/v1/bindings/{id}/reveal', { params: { path: { id } } })),
    onError: tell,
  })
  const { data, variables } = reveal
  return {
    ask: (binding) => reveal.mutate(binding),
    askedId: reveal.isPending ? (variables?.id ?? null) : null,
    window: (
      <Modal
        open={data !== undefined}
        title={variables === undefined ? '' : t('revealed', { name: nameOf(variables) })}
        footer={null}
        onCancel={() => reveal.reset()}
        destroyOnHidden
      >
        <div className="stack">
          <p className="muted">{t('revealedText')}</p>
          {data === undefined ? null : <Copyable text={data.authorization} />}
        </div>
      </Modal>
    ),
  }
}
