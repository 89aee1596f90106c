"""The transfer matrix: policies trained in several ways, each tried on robots that it has never seen."""
