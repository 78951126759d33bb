/** Device integrations for any frontend with a supabase-js client: `useClient(supabase)`, then write the elements. */

import { NAMES, load } from './load.js'

export { useClient } from './element.js'
export { addWords, setLanguage } from './language.js'

NAMES.forEach((name) => load(name))
