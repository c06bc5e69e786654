import { useVirtualizer, type VirtualItem, type Virtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, memo, useCallback, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { StateMark } from '../../components/state-tag.tsx'
import './matrix.css'
import { buildMatrix, cellId, type MatrixModel } from './matrix-model.ts'
import type { Target } from './use-run.ts'

const ROW_PX = 36
const COLUMN_PX = 148
const NAME_PX = 180
const SCROLLBAR_PX = 16

type Props = {
  targets: Target[]
  only: Target['state'] | null
  onOpen: (target: Target) => void
}

type Place = { row: number; column: number }

/**
 * Instance × space. An ARIA grid of its own: a table element cannot leave out the rows that are out of sight. Only what is in sight is drawn, so
 * ten thousand cells scroll as ten do. Arrow keys walk the cells.
 */
export function Matrix({ targets, only, onOpen }: Props) {
  const { t } = useTranslation('sync-run')
  const model = useMemo(() => buildMatrix(targets, only), [targets, only])
  const frame = useRef<HTMLDivElement>(null)
  const [focus, setFocus] = useState<Place>({ row: 0, column: 0 })
  const rows = useVirtualizer({
    count: model.spaces.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 4,
    useFlushSync: false,
    scrollMargin: ROW_PX,
  })
  const columns = useVirtualizer({
    horizontal: true,
    count: model.instances.length,
    getScrollElement: () => frame.current,
    estimateSize: () => COLUMN_PX,
    overscan: 2,
    useFlushSync: false,
    scrollMargin: NAME_PX,
  })
  const walk = useWalk(frame, rows, columns, focus, setFocus)
  const words = useWords()
  const inSight = columns.getVirtualItems()
  const rowsInSight = rows.getVirtualItems()
  const stop = tabStop(model, focus, rowsInSight, inSight)
  if (model.spaces.length === 0) return <p className="muted">{t('noTargets')}</p>
  return (
    <div
      className="panel matrix"
      ref={frame}
      role="grid"
      aria-label={t('matrix')}
      aria-rowcount={model.spaces.length + 1}
      aria-colcount={model.instances.length + 1}
      onKeyDown={walk}
      style={{ height: `min(${(model.spaces.length + 1) * ROW_PX + SCROLLBAR_PX}px, 64dvh)` }}
    >
      <div
        style={{ height: rows.getTotalSize() + ROW_PX, width: columns.getTotalSize() + NAME_PX, position: 'relative' }}
      >
        <Heads model={model} columns={inSight} />
        {rowsInSight.map(({ index, start }) => (
          <Row
            key={model.spaces[index]?.id}
            model={model}
            row={index}
            top={start}
            columns={inSight}
            focus={stop?.row === index ? stop.column : null}
            words={words}
            onFocus={setFocus}
            onOpen={onOpen}
          />
        ))}
      </div>
    </div>
  )
}

type Columns = Virtualizer<HTMLDivElement, Element>

/** What a cell says: looked up once, not once a cell. */
type Words = { state: (state: Target['state']) => string; cell: (target: Target) => string }

function useWords(): Words {
  const { t } = useTranslation('sync-run')
  return useMemo(() => {
    const states = new Map<string, string>()
    const state = (name: Target['state']) => {
      const known = states.get(name) ?? t(`common:states.${name}`)
      states.set(name, known)
      return known
    }
    const cell = (target: Target) => {
      const said = t('cell', {
        instance: target.instanceName ?? target.instanceId,
        space: target.spaceName ?? target.spaceId,
        state: state(target.state),
      })
      // What is seen is in the name, too: whoever speaks to the browser says what he sees.
      return target.attempts > 1 ? `${said} ×${target.attempts}` : said
    }
    return { state, cell }
  }, [t])
}

function Heads({ model, columns }: { model: MatrixModel; columns: VirtualItem[] }) {
  const { t } = useTranslation('sync-run')
  return (
    <div role="row" className="matrix-heads" style={{ height: ROW_PX }} aria-rowindex={1}>
      <div role="columnheader" className="matrix-corner" style={{ width: NAME_PX }} aria-colindex={1}>
        {t('space')}
      </div>
      {columns.map(({ index, start }) => (
        <div
          key={model.instances[index]?.id}
          role="columnheader"
          aria-colindex={index + 2}
          className="matrix-head clip"
          style={{ left: start, width: COLUMN_PX }}
          title={model.instances[index]?.name}
        >
          {model.instances[index]?.name}
        </div>
      ))}
    </div>
  )
}

type RowProps = {
  model: MatrixModel
  row: number
  top: number
  columns: VirtualItem[]
  /** The column of the cell that Tab comes to, if it is in this row. */
  focus: number | null
  words: Words
  onFocus: (place: Place) => void
  onOpen: (target: Target) => void
}

/** Drawn again only when its columns are others: scrolling up and down leaves the rows in sight as they are. */
const Row = memo(function Row({ model, row, top, columns, focus, words, onFocus, onOpen }: RowProps) {
  const space = model.spaces[row]
  if (space === undefined) return null
  return (
    <div role="row" className="matrix-row" aria-rowindex={row + 2} style={{ top, height: ROW_PX }}>
      <div
        role="rowheader"
        className="matrix-name clip"
        style={{ width: NAME_PX }}
        title={space.name}
        aria-colindex={1}
      >
        {space.name}
      </div>
      {columns.map(({ index, start }) => {
        const instance = model.instances[index]
        const target = instance === undefined ? undefined : model.cells.get(cellId(instance.id, space.id))
        return (
          <Cell
            key={instance?.id}
            target={target}
            row={row}
            column={index}
            left={start}
            isFocus={focus === index}
            words={words}
            onFocus={onFocus}
            onOpen={onOpen}
          />
        )
      })}
    </div>
  )
})

type CellProps = {
  target: Target | undefined
  row: number
  column: number
  left: number
  isFocus: boolean
  words: Words
  onFocus: (place: Place) => void
  onOpen: (target: Target) => void
}

const Cell = memo(function Cell({ target, row, column, left, isFocus, words, onFocus, onOpen }: CellProps) {
  return (
    <div role="gridcell" aria-colindex={column + 2} className="matrix-cell" style={{ left, width: COLUMN_PX }}>
      {target === undefined ? null : (
        <button
          type="button"
          tabIndex={isFocus ? 0 : -1}
          data-cell={`${row}:${column}`}
          aria-label={words.cell(target)}
          onFocus={() => onFocus({ row, column })}
          onClick={() => onOpen(target)}
        >
          <StateMark state={target.state} text={words.state(target.state)} />
          {target.attempts > 1 ? (
            <>
              {' '}
              <span className="matrix-attempts num">×{target.attempts}</span>
            </>
          ) : null}
        </button>
      )}
    </div>
  )
})

const STEPS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
}

/** Where Tab comes into the grid: the cell last walked to, else the first in sight. A run need not have every pair, nor a filter leave it. */
function tabStop(model: MatrixModel, focus: Place, rows: VirtualItem[], columns: VirtualItem[]): Place | null {
  const places = rows.flatMap(({ index: row }) => columns.map(({ index: column }) => ({ row, column })))
  const isThere = ({ row, column }: Place) =>
    model.cells.has(cellId(model.instances[column]?.id ?? '', model.spaces[row]?.id ?? ''))
  const walkedTo = places.find(({ row, column }) => row === focus.row && column === focus.column)
  return walkedTo !== undefined && isThere(walkedTo) ? walkedTo : (places.find(isThere) ?? null)
}

/** Arrow keys: the next cell is brought into sight, then focused. */
function useWalk(
  frame: React.RefObject<HTMLDivElement | null>,
  rows: Virtualizer<HTMLDivElement, Element>,
  columns: Columns,
  focus: Place,
  setFocus: (place: Place) => void,
): (event: KeyboardEvent) => void {
  return useCallback(
    (event) => {
      const step = STEPS[event.key]
      if (step === undefined) return
      event.preventDefault()
      const row = Math.min(Math.max(focus.row + step[0], 0), rows.options.count - 1)
      const column = Math.min(Math.max(focus.column + step[1], 0), columns.options.count - 1)
      setFocus({ row, column })
      rows.scrollToIndex(row)
      columns.scrollToIndex(column)
      requestAnimationFrame(() => {
        frame.current?.querySelector<HTMLButtonElement>(`[data-cell="${row}:${column}"]`)?.focus()
      })
    },
    [frame, rows, columns, focus, setFocus],
  )
}
