"""What OpenHands' manager costs, measured with OpenHands itself."""
