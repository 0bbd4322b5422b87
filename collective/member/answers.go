package member

// Answers asks the node of a name directly whether it is there, whatever gossip
// thinks of it; false, too, for one that gossip has never heard of. It takes a
// tenth of a second at most.
func (m *Members) Answers(name string) bool {
	m.mu.Lock()
	for _, n := range m.Alive() {
		if n.Name == name {
			m.known[name] = n
		}
	}
	n, ok := m.known[name]
	m.mu.Unlock()
	return ok && m.answers(n)
}
