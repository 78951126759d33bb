// The integrations in a React 19 app, with the client and the session that the app has already.
import { createClient } from '@supabase/supabase-js'
import { useClient } from 'device-integrations-elements'
import { useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'

const supabase = createClient(import.meta.env.VITE_SUPABASE_URL, import.meta.env.VITE_SUPABASE_ANON_KEY)
useClient(supabase) // No hook: it gives the client to all elements, those too that are still loading.

function Integrations({ organization }) {
  const [opened, setOpened] = useState(null)
  const open = (event) => {
    event.preventDefault() // We have a place of our own for it.
    if (event.detail.kind === 'integration') setOpened(event.detail.id)
  }
  if (!opened) return <device-integrations organization-id={organization} ondi-open={open} />
  return (
    <>
      <button onClick={() => setOpened(null)}>All integrations</button>
      <integration-overview organization-id={organization} integration-id={opened} />
    </>
  )
}

function App() {
  const [organization, setOrganization] = useState(null)
  useEffect(() => {
    supabase.from('organizations').select('id').order('created_at').limit(1).single().then(({ data }) => setOrganization(data?.id))
  }, [])
  return organization && <Integrations organization={organization} />
}

// Your app has a sign-in of its own; this one is for trying it.
await supabase.auth.signInWithPassword({ email: import.meta.env.VITE_EMAIL, password: import.meta.env.VITE_PASSWORD })
createRoot(document.getElementById('app')).render(<App />)
