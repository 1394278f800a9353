"""Losses in three independent parts: what is compared, how, and which layers meet.

Modules are imported one by one (`from distill.losses.logits import prediction_loss`), so that importing the
package loads no torch.
"""
