/** Addresses, headers, parameters and properties of the API: of no use to who sits before a page. */
const FOR_PROGRAMS =
  /\/api\/v1|GET \/|"\w+": |\?\w+=|\b\w+=true|If-Match|Idempotency-Key|Content-Type|Authorization:|ETag|\((?:remoteId|refresh|forget)\)|botSecret|listed in errors|Check the id;/

/** What a hint of the server says to a person, without its sentences for the authors of programs; null: nothing is left. */
export function hintForPeople(hint: string | null): string | null {
  const sentences = (hint ?? '').split(/(?<=[.!?])\s+(?=[A-Z“])/)
  const kept = sentences.filter((sentence) => sentence !== '' && !FOR_PROGRAMS.test(sentence))
  return kept.length === 0 ? null : kept.join(' ')
}
