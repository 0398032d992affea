"""What any web application has. It knows nothing of camps, and imports nothing of the domain."""
