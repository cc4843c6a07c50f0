"""What an operator can do: one small class each, from which footer, help and command palette are made."""
