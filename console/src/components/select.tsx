import { Select as AntSelect, type SelectProps } from 'antd'
import type { ReactElement } from 'react'

/** Ant Design's, with a name for its list of choices while it is open: that of its field. */
export function Select<V = unknown>(props: SelectProps<V>) {
  return <AntSelect<V> popupRender={namedList} {...props} />
}

/** For AutoComplete, too. A new ref each time: the list may be another one, when its choices came while it was open. */
export function namedList(list: ReactElement): ReactElement {
  return <div ref={(frame) => nameLists(frame)}>{list}</div>
}

function nameLists(frame: HTMLElement | null): void {
  for (const list of frame?.querySelectorAll('[role=listbox]') ?? []) {
    const field = document.getElementById(list.id.replace(/_list$/, ''))
    const name = field instanceof HTMLInputElement ? nameOf(field) : ''
    if (name !== '') list.setAttribute('aria-label', name)
  }
}

function nameOf(field: HTMLInputElement): string {
  return field.getAttribute('aria-label') ?? field.labels?.[0]?.textContent ?? ''
}
