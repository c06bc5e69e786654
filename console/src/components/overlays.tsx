import { Drawer as AntDrawer, Modal as AntModal, type DrawerProps, type ModalProps } from 'antd'
import { useEffect, useState } from 'react'

/** Ant Design's, for a dialog that is there only while it is open: its own closing, which gives the focus back, never comes. */
export function Modal(props: ModalProps) {
  useFocusReturn()
  return <AntModal {...props} />
}

export function Drawer(props: DrawerProps) {
  useFocusReturn()
  return <AntDrawer {...props} />
}

/** Closed, it leaves the focus to what had it before, or to the page when that has gone; never to nothing. */
function useFocusReturn(): void {
  const [opener] = useState(() => document.activeElement)
  useEffect(
    () => () => {
      for (const element of [opener, document.getElementById('content')]) {
        if (document.activeElement === document.body && element instanceof HTMLElement) {
          element.focus({ preventScroll: true })
        }
      }
    },
    [opener],
  )
}
