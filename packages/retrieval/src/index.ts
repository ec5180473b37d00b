/** Nearest neighbours by features. */
export {};
