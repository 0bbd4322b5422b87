// Package evaluate measures a served model by the log-probabilities that it gives to
// texts: perplexity, and choices among continuations. Its measures are those of
// lm-evaluation-harness (lm_eval/models/api_models.py and lm_eval/api/task.py), so that
// figures compare.
package evaluate
