// Package sched decides what each step computes: which sequences run, how many
// tokens of each, on which KV blocks. It is pure: no clock, no network, no
// goroutine; the same calls give the same plans.
//
// A sequence is waiting, running or finished. Prefill and decode are not
// distinguished: a running sequence's planned positions catch up with its
// tokens, a chunk at a time under the step's token budget. When blocks run out,
// the running sequence that comes last goes back to waiting and is computed
// again later, with the same tokens (the ranks' arithmetic sees to that); the
// end of an epoch does the same to all (Reset).
//
// # Who comes first
//
// A lower Priority value comes first, always: low ones may wait for ever while
// high ones keep coming. Within a priority, waiting sequences are admitted from
// the tenant that was served the fewest tokens so far, in order of arrival
// within the tenant. Running sequences are ordered by priority and arrival; the
// first of them is never preempted and has rows in every step, so something
// always comes to its end.
//
// # Ahead of the results
//
// Up to Config.Depth steps may be planned before the first one's results are
// known. A token that a step in flight will sample is known to the ranks when
// they need it, but not here: it is pending, its position can be planned, and
// hashes cover the known tokens alone. Ends by length are foreseen; a stop token
// is not, so what was planned after it is computed in vain and Update says so.
//
// Ranks execute steps in the order in which they were planned. Therefore a block
// that is given up while a step in flight still writes it may be handed out at
// once: its new owner's rows are in a later step. For the same reason a block
// that a planned step fills is in the prefix cache for every later step. Each
// Step that Schedule returns must be sent to the ranks, in order; if one can't
// be, the epoch is over: Reset.
//
// After: vLLM (Kwon et al. 2023, arXiv:2309.06180) for blocks and preemption;
// Sarathi-Serve (Agrawal et al. 2024, arXiv:2403.02310) for chunks; Sheng et al.
// 2024 (arXiv:2401.00588) for fairness by tokens served.
package sched
