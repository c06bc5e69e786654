import type { ConfigProviderProps } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

type Locale = NonNullable<ConfigProviderProps['locale']>

/** Ant Design's own texts in the language of the console; its default is English. */
export function useAntLocale(): Locale | null {
  const { i18n } = useTranslation()
  const [chinese, setChinese] = useState<Locale | null>(null)
  const language = i18n.language
  useEffect(() => {
    if (language !== 'zh') return
    let wanted = true
    void import('./ant-zh.ts').then(({ locale }) => {
      if (wanted) setChinese(locale)
    })
    return () => {
      wanted = false
    }
  }, [language])
  return language === 'zh' ? chinese : null
}
