import { expect, it } from 'vitest'
import { hintForPeople } from '../../console/src/components/hint.ts'

it.each([
  ['Give it with PUT /api/v1/platforms/{id}/credential.', null],
  ['Correct what the warnings name, or send "acceptWarnings": true.', null],
  ['Read it again and repeat the change with the new version in If-Match.', null],
  ['Sync it, or name an object by its id on the platform (remoteId).', null],
  ['Check the id; lists show what is there.', null],
  [null, null],
  ['Wait 12 s.', 'Wait 12 s.'],
  [
    'As the owner of Dify’s tables, run: GRANT SELECT ON tenants TO u. To save it all the same, add ?force=true.',
    'As the owner of Dify’s tables, run: GRANT SELECT ON tenants TO u.',
  ],
  [
    'If that is meant, send it again with "confirmUserChange": true. Plugins keep the owner that made them.',
    'Plugins keep the owner that made them.',
  ],
])('of the hint %j a person reads %j', (hint, shown) => {
  expect(hintForPeople(hint)).toBe(shown)
})
