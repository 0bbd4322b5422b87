package batch

// Interactives is how many interactive requests are under way.
func (s *Service) Interactives() int64 { return s.interactive.Load() }
