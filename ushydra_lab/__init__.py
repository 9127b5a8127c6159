"""Multi-hospital ultrasound experiments: four systems, one data module, an unseen hospital that stays unseen."""

__version__ = "0.4.0"
