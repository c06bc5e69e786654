import { MoonOutlined, SunOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { changeLanguage } from '../i18n/i18n.ts'
import { LANGUAGES, type Language } from '../i18n/language.ts'
import { chooseColors, useColorScheme } from '../theme/color-scheme.ts'

/** Each language by its own name. */
const NAMES: Record<Language, { name: string; tag: string }> = {
  en: { name: 'English', tag: 'en' },
  zh: { name: '中文', tag: 'zh-CN' },
}

/** Language and colours; both are remembered in this browser. */
export function Preferences() {
  const { t, i18n } = useTranslation()
  const scheme = useColorScheme()
  const other = scheme === 'dark' ? 'light' : 'dark'
  return (
    <div className="preferences">
      <fieldset className="language" aria-label={t('shell.language')}>
        {LANGUAGES.map((language) => (
          <button
            key={language}
            type="button"
            lang={NAMES[language].tag}
            aria-pressed={i18n.language === language}
            onClick={() => void changeLanguage(language)}
          >
            {NAMES[language].name}
          </button>
        ))}
      </fieldset>
      <Button
        type="text"
        size="small"
        icon={scheme === 'dark' ? <SunOutlined /> : <MoonOutlined />}
        title={t(`shell.colors.${other}`)}
        aria-label={t(`shell.colors.${other}`)}
        onClick={() => chooseColors(other)}
      />
    </div>
  )
}
