/** Device integrations for any frontend with a supabase-js client: `useClient(supabase)`, then write the elements. */

import { NAMES, load } from './dom.js'

export { useClient } from './hosted.js'
export { addWords, setLanguage } from './language.js'

NAMES.forEach((name) => load(name))
