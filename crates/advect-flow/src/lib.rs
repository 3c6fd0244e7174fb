//! Flow matching, rectified flow and MeanFlow: losses, samplers, likelihoods.
