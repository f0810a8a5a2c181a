"""The built-in sample: photographs, what two small generators make of them, and how those were trained."""
