import { type ThemeConfig, theme } from 'antd'
import { type ColorScheme, PALETTES } from './palette.ts'

export const FONT = `-apple-system, BlinkMacSystemFont, 'Segoe UI', Inter, Roboto, 'Noto Sans', 'PingFang SC', 'Hiragino Sans GB', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif`
export const CODE_FONT = `ui-monospace, SFMono-Regular, 'JetBrains Mono', Menlo, Consolas, monospace`

/** Ant Design in the console's colours: dense, flat, hairlines instead of shadows; without `motion` nothing slides or fades. */
export function antTheme(scheme: ColorScheme, motion: boolean): ThemeConfig {
  const p = PALETTES[scheme]
  return {
    algorithm: scheme === 'dark' ? theme.darkAlgorithm : theme.defaultAlgorithm,
    hashed: false,
    token: {
      colorPrimary: p.accent,
      colorLink: p.accent,
      colorInfo: p.busy,
      colorSuccess: p.good,
      colorWarning: p.warn,
      colorError: p.bad,
      // What Ant Design would derive from these deep colours is muddy.
      colorSuccessBg: p.goodSoft,
      colorSuccessBorder: p.line,
      colorWarningBg: p.warnSoft,
      colorWarningBorder: p.line,
      colorErrorBg: p.badSoft,
      colorErrorBorder: p.line,
      colorInfoBg: p.busySoft,
      colorInfoBorder: p.line,
      colorPrimaryBg: p.accentSoft,
      controlItemBgActive: p.accentSoft,
      colorTextBase: p.text,
      colorBgBase: p.surface,
      colorBgLayout: p.page,
      colorBgContainer: p.surface,
      colorBgElevated: p.raised,
      colorBorder: p.strongLine,
      colorBorderSecondary: p.line,
      colorText: p.text,
      colorTextSecondary: p.muted,
      colorTextTertiary: p.faint,
      colorTextDescription: p.muted,
      colorTextPlaceholder: p.faint,
      fontFamily: FONT,
      fontFamilyCode: CODE_FONT,
      fontSize: 13,
      borderRadius: 6,
      controlHeight: 32,
      motion,
      motionDurationMid: '0.12s',
      motionDurationSlow: '0.16s',
    },
    components: {
      Button: {
        fontWeight: 500,
        primaryColor: p.onAccent,
        // White on the red of the dark scheme cannot be read.
        dangerColor: p.onAccent,
        primaryShadow: 'none',
        defaultShadow: 'none',
        dangerShadow: 'none',
      },
      Table: {
        headerBg: p.surface,
        headerColor: p.muted,
        headerSplitColor: 'transparent',
        cellPaddingBlock: 9,
        cellPaddingInline: 12,
        cellPaddingBlockMD: 8,
        cellPaddingInlineMD: 12,
        cellPaddingBlockSM: 5,
        cellPaddingInlineSM: 12,
        rowHoverBg: p.sunken,
        rowSelectedBg: p.accentSoft,
        rowSelectedHoverBg: p.accentSoft,
        borderColor: p.line,
      },
      Collapse: { headerBg: p.surface, headerPadding: '8px 14px', contentPadding: '12px 14px' },
      Tabs: { horizontalItemPadding: '9px 0', horizontalMargin: '0 0 16px' },
      Drawer: { footerPaddingBlock: 12, footerPaddingInline: 24 },
      Form: { itemMarginBottom: 18, verticalLabelPadding: '0 0 4px', labelColor: p.text },
      Modal: { titleFontSize: 15 },
      Alert: { defaultPadding: '10px 14px', withDescriptionPadding: '12px 16px' },
    },
  }
}
