import { Tabs as AntTabs, type TabsProps } from 'antd'

/**
 * Ant Design's, without the button for the tabs that do not fit: it stands inside the tablist, where only tabs may be
 * (aria-required-children). As on its touch screens the bar slides instead: by a finger, the wheel, and to the tab with the focus.
 */
export function Tabs(props: TabsProps) {
  return <AntTabs renderTabBar={(bar, Bar) => <Bar {...bar} mobile />} {...props} />
}
