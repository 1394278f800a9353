"""Fine-tuning a teacher once and answering for it during distillation."""
